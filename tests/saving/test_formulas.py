"""Formulas of a file: what users write is evaluated, what could run code is not."""

import pytest

from bimixed.exceptions import DataError
from bimixed.saving.formulas import check_formulas, names_used

COLUMNS = [
    "y",
    "x",
    "g",
    "h",
    "day",
    "Sepal.Length",
    "Height (cm)",
    "eval",
    "exec",
    "np.load",
    "ｅｖａｌ",
    "it's",
    "x.to_csv",
    "to_csv.__globals__",
    "q.__globals__",
    "].modules",
    "].system",
    "bs.run",
    "a.b",
    "b.c",
]

HARMLESS = [
    "y ~ x + (1 + x | g)",
    "log(y) ~ C(x, contr.treatment('a')) * poly(day, 2) + (0 + x || g:h) + (1 | g/h)",
    "y ~ scale(x) + bs(day, df=4, degree=3) + np.log1p(np.abs(x)) + I(x**2) + offset(log(day)) + (1 | g)",
    "y ~ (x + day)**2 - x:day + x %in% g + (1 | C(g))",
    "y ~ a.b + I(a.b**2) + (1 | b.c)",
    "y ~ `Height (cm)` + Sepal.Length + Q('Height (cm)') + (1 | g)",
    "y ~ {x + day} + I(x > 3) + I((x > 1) & (day < 2)) + (1 | g)",
    "y ~ bs(x, knots=knots) + cr(x, df=3, constraints='center') + (1 | g)",
    "y ~ g.str.upper() + x.clip(0, 1) + I(x if True else day) + (1 | day.dt.year)",
    "y ~ eval + (1 | g)",
    "~ 0 + C(g):x",
]

HARMFUL = [
    "y ~ I(0*x + len(max(['f', 'g'], key=x.to_csv)))",
    "y ~ x.to_csv",
    "y ~ I(x.to_csv.__globals__['sys'].modules['os'].system)",
    "y ~ I(len(max(['a', 'b'], key=x.to_csv.__globals__['sys'].modules['os'].system)))",
    "y ~ q.__globals__",
    "y ~ I(g['os'].system)",
    "y ~ I(max(['f'], key=bs.run))",
    "y ~ I(a.b.c)",
    "y ~ a.b('f')",
    "y ~ a.b['f']",
    "y ~ eval('1') + (1 | g)",
    "y ~ I(__import__('os').system('ls')) + (1 | g)",
    "y ~ x.to_pickle('f') + (1 | g)",
    "y ~ x.tofile('f')",
    "y ~ x.map(eval)",
    "y ~ hashed(g, levels=9, hash_func=compile)",
    "y ~ hashed(g, levels=9, hash_func=`eval`('1'))",
    "y ~ `eval`('1')",
    "y ~ `open`",
    "y ~ hashed(g, levels=9, hash_func=`print`)",
    "y ~ hashed(g, levels=9, hash_func=np.load)",
    "y ~ np.load('f')",
    "y ~ np.lib.format.read_array(x)",
    "y ~ np . load ('f')",
    "y ~ (np).load('f')",
    "y ~ exec('1')",
    "y ~ ｅｖａｌ('1')",
    "y ~ ｏｐｅｎ",
    "y ~ (lambda: 1)()",
    "y ~ (x)(1)",
    "y ~ [x][0](1)",
    "y ~ f'{x}'",
    "y ~ r'a'",
    "y ~ C(x, levels=['\\' + eval(x) + '])",
    "y ~ '''a' + eval(x) + '''",
    "y ~ `it's` + eval(x) + `it's`",
    "y ~ x.__class__",
    "y ~ contr.__init__",
    "y ~ [z for z in x]",
    "y ~ backticked_name_",
    "y ~ x # + eval(x)",
    "y ~ unknown(x)",
    "y ~ unknown",
    "y ~ (1 | open('f'))",
]


@pytest.mark.parametrize("formula", HARMLESS)
def test_what_users_write_is_evaluated(formula):
    check_formulas([formula], COLUMNS, ["knots"])


@pytest.mark.parametrize("formula", HARMFUL)
def test_what_could_run_code_is_not(formula):
    with pytest.raises(DataError, match="could run any code"):
        check_formulas([formula], COLUMNS, ["knots"])


def test_names_of_a_formula():
    assert names_used(["y ~ f(x, 'name') + `a b` + m.g(z)"]) == ["y", "f", "x", "m", "z"]
