"""What the scanner reads: one module per AWS service, generators of rows; the tuple COLLECTORS lists them all, in order.

Adding a collector: its datasets in schemas/snapshots.py, one generator function, one line in COLLECTORS, one recorded payload in tests/.
"""
