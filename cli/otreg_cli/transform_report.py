"""What invert and compose say about the transform that they wrote."""

from __future__ import annotations

from otreg.jobs import WrittenTransform
from otreg_cli.output import print_json, print_rows


def report_transform(written: WrittenTransform, *, command: str, as_json: bool) -> None:
    """The file, whether it is one matrix, and the residual of inverses found by iteration."""
    if as_json:
        print_json(
            {
                "schema": f"otreg.{command}/1",
                "output": str(written.path),
                "linear": written.linear,
                "residual": written.residual,
            }
        )
        return
    rows = [("transform", str(written.path))]
    if written.residual is not None:
        rows.append(("residual", f"{written.residual:.3g} in file units, at the control points"))
    print_rows(rows)
