"""Results in files: what a specification was made from and what the fit found, as JSON and plain arrays."""

from bimixed.saving.files import load, save

__all__ = ["load", "save"]
