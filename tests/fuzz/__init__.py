"""
Faults and fuzzing: what runs longer than a test suite may.

A little of each runs in the suite, with fixed seeds; these commands do more::

    python -m tests.fuzz.flips                  # every bit flip of every session
    python -m tests.fuzz.cuts                   # every truncation of a whole session
    python -m tests.fuzz.machine --minutes 20   # two ends and a meddler, as Hypothesis likes
    python -m tests.fuzz.walk --walks 200000    # hostile peers that walk at random
    python -m tests.fuzz --list                 # what Atheris can be let loose on
    python -m tests.fuzz NAME --seconds 300     # do so

The last one wants Atheris, on Python 3.11: C{pip install -e '.[fuzz]'}. It
begins with the files in C{tests/fuzz/corpus/NAME}, which the suite runs too, and
keeps what it finds in a directory that it names, not in the corpus.

Whatever comes, nothing but L{conchlite.error} may come of it. What they find is
fixed, and gets a test beside the others of that module.
"""
