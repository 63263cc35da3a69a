"""The commands of `efficientvision`, one module each: `COMMAND` describes it, `run` does it.

They import no deep learning library until the options are checked.
"""
