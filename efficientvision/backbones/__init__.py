"""Backbones of the networks."""

# Before any of the modules here begins: with Keras come all of them (see `efficientvision`).
import keras  # noqa: F401
