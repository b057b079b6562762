"""The paper's section 4 on any data set that follows its protocol: every table, figure and claim, as one page."""
