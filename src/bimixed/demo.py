"""``python -m bimixed.demo [folder]``: radon in Minnesota, fitted both ways."""

import sys
from pathlib import Path

import bimixed as bm

FORMULA = "log_radon ~ floor + log_uranium + (1 + floor | county)"


def main(folder: str = "out") -> None:
    """Fit radon by REML and by NUTS, print the comparison, write a picture and a page."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    spec = bm.ModelSpec(FORMULA, bm.load_dataset("radon"))
    print(spec, end="\n\n")
    reml = spec.fit(method="reml")
    print("Sampling; the first run on a machine compiles for half a minute …", flush=True)
    nuts = spec.fit(method="nuts", random_seed=1)
    comparison = bm.compare(reml, nuts)
    print(f"\n{comparison}\n")
    picture = out / "radon_comparison.png"
    comparison.plot().savefig(picture, dpi=130)
    page = comparison.to_html(out / "radon_comparison.html")
    print(f"Picture: {picture.resolve()}\nPage:    {page.resolve()}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
