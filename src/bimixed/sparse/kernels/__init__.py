"""The compiled loops. Only this folder imports numba, and only functions import this folder.

No ``fastmath``: the same input gives the same output, bit for bit, on one machine.
"""
