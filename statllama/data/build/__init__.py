"""From papers to training data: a chain of steps, each of which makes records out of the records of those before it.

    collect -> extract -> clean -> write -> check -> parts

`collect` finds papers, files, forum posts; `extract` makes documents with sections of them; `clean` leaves out what no
model should learn; `write` has a model write rows about sections; `check` leaves out the rows that are wrong. What is
left out is kept too, with its reason (`records.py`). A step works on blocks of records, each of which is on the disk
before the next one counts as done (`blocks.py`), and its result has a key made of all that decides it (`chain.py`).
Loads no torch.
"""
