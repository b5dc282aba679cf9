"""The version of hubbub. The package is built with it; to read it from the metadata of the package takes longer."""

VERSION = "0.1.0"
