"""Other people's data sets: readers that list photographs, and the import that makes a data set with a manifest."""
