"""The live state: mapping, reading and watching the objects of a cluster, and the actors that changed them."""
