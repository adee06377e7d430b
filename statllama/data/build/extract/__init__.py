"""From files to documents: text in reading order under its headings.

`step.py` is the step, `spec.py` what a user sets. Each file is read by a process apart (`reader.py` here, `child.py`
there), whose time and memory are limited, so that no file can harm a build. A form of file is one module of `forms/`,
whose name is the form's. All forms make blocks, and `outline.py` makes sections of them; `layout/` finds the blocks of
a page that has nothing but glyphs in places. `topics.py` says which topics of statistics a document is about.
"""
