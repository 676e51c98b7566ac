"""The command line: ``bimixed fit data.csv "y ~ x + (1 | g)"``, or ``python -m bimixed``.

Exit codes: 0 done; 2 a wrong argument, unreadable data, or a model that can't be fitted; 3 a fit has not
converged (or, with ``--strict``, has anything to tell), everything asked for being written nevertheless;
130 interrupted.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from bimixed._version import __version__
from bimixed.compare import compare
from bimixed.engines import METHODS, ONLY
from bimixed.exceptions import BimixedError, DataError, PriorError
from bimixed.priors import Prior
from bimixed.results import MixedModelResult
from bimixed.saving import load
from bimixed.spec import ModelSpec
from bimixed.table_files import as_json, read_table, write_text

DONE, WRONG, NOT_CONVERGED, INTERRUPTED = 0, 2, 3, 130
OPTIONS = ("optimizer", "draws", "tune", "chains", "random_seed", "form", "parameterization", "sampler",
           "target_accept", "cores")  # fmt: skip
"""Arguments of ``ModelSpec.fit`` that are options here; each goes to the methods that have it."""
_ONLY = {**ONLY, "random_seed": ("nuts", "importance"), "cores": ("nuts",)}
EPILOG = """examples:
  bimixed fit radon.csv "log_radon ~ floor + (1 + floor | county)"
  bimixed fit data.parquet "y ~ x + (1 | g)" --method reml --method nuts --random-seed 1 --report out.html
  bimixed fit data.csv.gz "y ~ C(arm) + (1 | site)" --weights w --csv - | sort -t, -k5
  bimixed fit data.csv "y ~ x + (1 | g)" --json - --save fit.bimixed
  bimixed predict fit.bimixed new.csv --new-levels sample --interval prediction --out predictions.csv
  bimixed report fit.bimixed fit.html

exit codes: 0 done; 2 a wrong argument, unreadable data, or a model that can't be fitted; 3 a fit has not
converged (everything asked for is written nevertheless); 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    given = parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _warned
        try:
            code = int(given.run(given))
            sys.stdout.flush()
        except BimixedError as error:
            print(f"bimixed: error: {error}", file=sys.stderr)
            return WRONG
        except KeyboardInterrupt:
            print("bimixed: interrupted", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            # whoever read has enough; without this Python complains as it closes stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
    return code


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning without the line of code that it points at."""
    print(f"bimixed: warning: {message}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="bimixed",
        description="Linear mixed models by REML, maximum likelihood, NUTS or importance sampling.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bimixed {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="command")
    _fit_parser(commands)
    _predict_parser(commands)
    report = commands.add_parser("report", help="write the page of a saved fit")
    report.add_argument("fit", help="file that 'bimixed fit --save' or fit.save() wrote")
    report.add_argument("page", help="HTML file to write")
    report.set_defaults(run=_report)
    return top


def _fit_parser(commands: Any) -> None:
    fit = commands.add_parser(
        "fit",
        help="fit a model by one method or more, compare them, and write a page",
        description="Fit a model and print it; fits by several methods are compared.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fit.add_argument(
        "data", help="CSV (.csv, .tsv, also .gz, .bz2, .xz, .zip), Parquet, or - for CSV on stdin"
    )
    fit.add_argument("formula", help='in lme4\'s notation: "y ~ x + (1 + x | group)"')
    model = fit.add_argument_group("model")
    model.add_argument(
        "--method", action="append", choices=METHODS, help="once or several times; default reml"
    )
    model.add_argument("--weights", metavar="COLUMN", help="precision weights, Var(e) = sigma²/weight")
    model.add_argument("--offset", metavar="COLUMN", help="added to the linear predictor")
    model.add_argument(
        "--na-action", choices=("drop", "raise"), default="drop", help="rows with missing values"
    )
    model.add_argument(
        "--prior", action="append", default=[], metavar="NAME=FAMILY(...)",
        help="such as 'sd_county=half_normal(sigma=1)'; once for each",
    )  # fmt: skip
    how = fit.add_argument_group("method", "each goes to the methods that have it")
    for name in OPTIONS:
        kind = {
            "target_accept": float,
            "optimizer": str,
            "form": str,
            "parameterization": str,
            "sampler": str,
        }
        how.add_argument(
            f"--{name.replace('_', '-')}", type=kind.get(name, int), help=f"of {' and '.join(_ONLY[name])}"
        )
    how.add_argument("--progress", action="store_true", help="show the sampler's progress")
    out = fit.add_argument_group("output", "FILE is a path, or - for stdout in place of the summary")
    out.add_argument("--report", metavar="PATH", help="HTML page; of several methods their comparison's")
    out.add_argument("--json", metavar="FILE", help="estimates, limits and diagnostics")
    out.add_argument("--csv", metavar="FILE", help="one table of all estimates with limits")
    out.add_argument("--save", metavar="PATH", help="the fit, for 'bimixed predict' and bm.load")
    out.add_argument("--level", type=float, default=0.95, help="of the limits in JSON and CSV; default 0.95")
    out.add_argument("--quiet", action="store_true", help="no summary")
    out.add_argument("--strict", action="store_true", help="exit with 3 whenever a fit has messages")
    fit.set_defaults(run=_fit)


def _predict_parser(commands: Any) -> None:
    predict = commands.add_parser("predict", help="predict new rows by a saved fit")
    predict.add_argument("fit", help="file that 'bimixed fit --save' or fit.save() wrote")
    predict.add_argument("data", nargs="?", help="new rows, as for 'fit'; default the rows fitted")
    predict.add_argument(
        "--random", default="all", metavar="GROUPS", help="all, none, or groups with commas between them"
    )
    predict.add_argument("--new-levels", choices=("error", "population", "sample"), default="error")
    predict.add_argument("--interval", choices=("confidence", "prediction"))
    predict.add_argument("--level", type=float, default=0.95)
    predict.add_argument("--random-seed", type=int)
    predict.add_argument("--out", metavar="FILE", default="-", help="CSV; default - for stdout")
    predict.set_defaults(run=_predict)


def _fit(given: argparse.Namespace) -> int:
    methods = list(dict.fromkeys(given.method or ["reml"]))
    _refuse_two_outputs(given, methods)
    spec = ModelSpec(
        given.formula,
        read_table(given.data),
        weights=given.weights,
        offset=given.offset,
        na_action=given.na_action,
        priors=dict(map(_prior, given.prior)),
        context={},
    )
    options = _options(given, methods)
    fits = [spec.fit(method, progress=given.progress, **options[method]) for method in methods]
    comparison = compare(*fits) if len(fits) > 1 else None
    shown: Any = fits[0] if comparison is None else comparison
    if not given.quiet and "-" not in (given.json, given.csv):
        parts = [] if comparison is None else [*(str(fit) for fit in fits)]
        print("\n\n".join([*parts, str(shown)]))
    if given.report:
        shown.to_html(given.report)
    if given.json:
        write_text(given.json, as_json(fits, given.level))
    if given.csv:
        write_text(given.csv, _estimates(fits, given.level).to_csv(index=False))
    if given.save:
        fits[0].save(given.save)
    bad = [fit for fit in fits if not (fit.diagnostics.ok if given.strict else fit.diagnostics.converged)]
    return NOT_CONVERGED if bad else DONE


def _refuse_two_outputs(given: argparse.Namespace, methods: Sequence[str]) -> None:
    if given.json == given.csv == "-":
        raise DataError("--json and --csv can't both go to stdout; give one of them a file.")
    if given.save and len(methods) > 1:
        raise DataError("--save takes one fit; give one --method.")
    for path in (given.report, given.json, given.csv, given.save):
        if path not in (None, "-") and not Path(path).parent.is_dir():
            raise DataError(f"There is no folder {str(Path(path).parent)!r} to write {Path(path).name} to.")


def _options(given: argparse.Namespace, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Arguments of each method's fit.

    Raises
    ------
    DataError
        For an option that none of them has.
    """
    options: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for name in OPTIONS:
        value = getattr(given, name)
        if value is None:
            continue
        have = [method for method in methods if method in _ONLY[name]]
        if not have:
            raise DataError(
                f"--{name.replace('_', '-')} has no meaning for --method {' and '.join(methods)} (only for "
                f"{' and '.join(_ONLY[name])}); leave it out."
            )
        for method in have:
            options[method][name] = value
    return options


def _prior(text: str) -> tuple[str, Prior]:
    """``sd_g=half_normal(sigma=1)`` as a name and a prior."""
    name, _, written = text.partition("=")
    family, _, inside = written.strip().partition("(")
    if not inside.endswith(")"):
        raise PriorError(f"--prior {text!r} isn't a prior; write it as 'sd_county=half_normal(sigma=1)'.")
    parameters = {}
    for part in filter(None, (part.strip() for part in inside[:-1].split(","))):
        key, _, value = part.partition("=")
        try:
            parameters[key.strip()] = float(value)
        except ValueError as error:
            raise PriorError(f"--prior {text!r}: write {part!r} as a name and a number, sigma=1.") from error
    return name.strip(), Prior(family.strip(), **parameters)


def _estimates(fits: Sequence[MixedModelResult], level: float) -> pd.DataFrame:
    """Fixed effects, sds, correlations and random effects of all fits, one below the other."""
    parts = []
    for fit in fits:
        table = fit.tidy(["fixed", "ran_pars", "ran_vals"], conf_int=True, conf_level=level)
        table.insert(0, "method", fit.method)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _predict(given: argparse.Namespace) -> int:
    fit = load(given.fit)
    random: Any = given.random if given.random in ("all", "none") else given.random.split(",")
    found = fit.predict(
        None if given.data is None else read_table(given.data),
        random=random,
        new_levels=given.new_levels,
        interval=given.interval,
        level=given.level,
        random_seed=given.random_seed,
    )
    write_text(given.out, found.to_csv(index_label="row"))
    return DONE


def _report(given: argparse.Namespace) -> int:
    load(given.fit).to_html(given.page)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
