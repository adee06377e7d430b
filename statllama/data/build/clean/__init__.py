"""`clean`: leaves out what no model should learn, of documents and of rows.

Three steps, each of which drops sections, rows or lines and keeps the rest (`steps.py`):

    clean              sections by kind, length, language, quality, personal data, benchmark questions (filters.py)
    clean:duplicates   documents, sections and rows that repeat an earlier one (repeats.py)
    clean:boilerplate  lines that repeat over documents, publishers' notices (boilerplate.py)

The first judges each record by itself, in any number of processes. The others look at all records first. Boilerplate
comes last: in a document that is there twelve times, every line would be a line of twelve documents.
"""
