"""facesearch gallery: a module for each thing that is done with a gallery; cli/app.py names every command."""
