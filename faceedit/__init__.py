"""The two-stage network of Ghodrati et al. (BMVC 2016): data sets, training, model files, the Editor."""
