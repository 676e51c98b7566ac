"""Results as HTML pages that need nothing else: no network, no script, pictures inside."""

from bimixed.reports.pages import comparison_page, result_page, write_page

__all__ = ["comparison_page", "result_page", "write_page"]
