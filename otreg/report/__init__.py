"""Pages and pictures: one HTML file per registration, a preview, an index over many, a viewer for any shapes."""

from otreg.report.index import WrittenIndex, write_index
from otreg.report.preview import preview_figure, write_preview
from otreg.report.result import read_result, result_folders
from otreg.report.result_page import WrittenReport, write_report
from otreg.report.view import write_view

__all__ = [
    "WrittenIndex",
    "WrittenReport",
    "preview_figure",
    "read_result",
    "result_folders",
    "write_index",
    "write_preview",
    "write_report",
    "write_view",
]
