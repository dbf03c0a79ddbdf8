"""An invoice as a small PDF: one page of text in a font every reader has."""

from __future__ import annotations

from billing.demo.world import Object

WIDTH, HEIGHT, MARGIN, LEADING = 595, 842, 56, 18
MOST_LINES = 32


def of_invoice(shown: Object) -> bytes:
    """Return the PDF of an invoice that `pages.shown_invoice` put in words."""
    text = [
        "Demo payments - no real money",
        "",
        f"Invoice {shown['number']}",
        f"Date: {shown['date']}",
        f"To: {shown['to']}",
        f"Status: {shown['status']}",
        "",
    ]
    for line in shown["lines"][:MOST_LINES]:
        text += [f"{line['text']}: {line['amount']}", f"    {line['period']}"]
    text += ["", f"Total: {shown['total']}", f"Paid: {shown['paid']}", f"Due: {shown['due']}"]
    return _document(_content(text))


def _content(text: list[str]) -> bytes:
    lines = [b"BT /F1 12 Tf %d TL %d %d Td" % (LEADING, MARGIN, HEIGHT - MARGIN)]
    lines += [b"(" + _escaped(each) + b") Tj T*" for each in text]
    return b"\n".join([*lines, b"ET"])


def _escaped(text: str) -> bytes:
    encoded = text.encode("cp1252", "replace")
    return encoded.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")


def _document(content: bytes) -> bytes:
    """Put the page's content into a document with its table of offsets."""
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
        % (WIDTH, HEIGHT),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    document, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(document)
    count = len(bodies) + 1
    document += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return document + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
