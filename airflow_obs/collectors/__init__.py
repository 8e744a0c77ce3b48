"""One file per subject: the query, the typed rows it returns, and the samples made of them."""
