"""facesearch gallery: a module for each thing that is done with a gallery; group.py names every command."""
