"""四端: each end parses, authorises, calls a slice and answers."""
