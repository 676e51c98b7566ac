"""Whether a fit can be trusted, in words."""

import numpy as np

from bimixed.reports import elements as html
from bimixed.results import MixedModelResult
from bimixed.results.convergence import BFMI, ESS, RHAT
from bimixed.results.summary import METHODS, format_seconds


def verdict(result: MixedModelResult) -> str:
    """One sentence."""
    d = result.diagnostics
    if d.ok:
        return "The fit converged, and nothing odd was noticed."
    if not d.converged:
        return "The fit has not converged: its numbers can't be trusted yet (see Diagnostics)."
    if d.singular:
        return "The fit converged to a boundary: a direction of the random effects has no variance (see \
Diagnostics)."
    return "The fit converged; something was noticed that should be read first (see Diagnostics)."


def lead(result: MixedModelResult, name: str = "") -> str:
    """The verdict in a box."""
    told = f"{name}: {verdict(result)}" if name else verdict(result)
    return html.paragraph(told, "lead" if result.diagnostics.ok else "lead warn")


def checks_section(named: dict[str, MixedModelResult]) -> html.Section:
    """Messages with what to do, and what was looked at with its figure, for each result."""
    parts = []
    for name, result in named.items():
        if len(named) > 1:
            parts.append(html.heading(name))
        parts.append(html.paragraph(verdict(result)))
        parts.append(html.bullets(result.diagnostics.messages))
        parts.append(html.facts(_looked_at(result)))
    return html.Section("diagnostics", "Diagnostics", parts)


def _looked_at(result: MixedModelResult) -> list[tuple[str, str]]:
    d = result.diagnostics
    found = [("Method", METHODS[result.method]), ("Time", format_seconds(d.seconds))]
    if d.n_evaluations is not None:
        found.append(("Optimiser", f"{_yes(d.converged)}converged, {d.n_evaluations} evaluations"))
    if d.singular is not None:
        told = "a direction of the random effects has no variance" if d.singular else "no"
        found.append(("Singular", told))
    if d.rhat_max is not None and not np.isnan(d.rhat_max):
        found.append(("R-hat", f"at most {d.rhat_max:.3f}; chains agree up to {RHAT}"))
    if d.ess_bulk_min is not None:
        tail = "" if d.ess_tail_min is None else f", {d.ess_tail_min:.0f} in the tails"
        found.append(("Effective draws", f"at least {d.ess_bulk_min:.0f}{tail}; {ESS:.0f} are enough"))
    if d.divergences is not None:
        found.append(("Divergences", f"{d.divergences}; there should be none"))
    energy = d.details.get("bfmi_min")
    if isinstance(energy, float) and not np.isnan(energy):
        found.append(("E-BFMI", f"at least {energy:.2f}; {BFMI} is enough"))
    if d.pareto_k is not None:
        found.append(("Pareto k", f"{d.pareto_k:.2f}; weights are reliable below 0.7"))
    for name in ("form", "parameterization"):
        value = d.details.get(name)
        if value is not None:
            shown = ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
            found.append((name.capitalize(), str(shown)))
    return found


def _yes(converged: bool) -> str:
    return "" if converged else "not "
