"""What joins the network and the gallery: describe a folder, answer a query, measure recall, write reports."""
