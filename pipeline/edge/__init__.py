"""The edge between the program and people: what words of theirs may become, and what they are
told.

`text` makes words safe to print, `terminal` prints them, `file_names` makes them names of files,
`locations` takes secrets out of addresses, `faults` turns errors of libraries into one line.
`docs/explanation/security.md` says against whom.
"""
