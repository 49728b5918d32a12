"""The recipe library: ordinary Python from which `program.py` cuts the parts that a script needs.

Nobody imports these modules to run them. Every top-level function or constant is a part; a part brings along the parts
that its code names. `name__variant` enters a script as `name`: the caller says which variant it wants. Names of
`task.py` are filled in from the task card. A module's first docstring line is the title of its section in the script.
Types are for people here, as in the scripts: those are proven by running them.
"""
