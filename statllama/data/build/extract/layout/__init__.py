"""What a page of glyphs in places says: words, columns, lines, paragraphs and headings. Knows nothing of PDF's library,
so pages that were read by eye (`ocr.py`) go the same way.

    glyphs.py     a PDF's page to pieces of lines
    accents.py    accents back to their letters
    ocr.py        a picture of a page to the same
    running.py    headers, footers and page numbers, which come again on every page
    columns.py    pieces to lines, in reading order
    tables.py     lines whose cells stand below each other
    paragraphs.py lines to blocks
    styles.py     which lines are headings, and of what level
"""
