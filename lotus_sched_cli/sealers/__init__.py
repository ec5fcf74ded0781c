"""What turns data into sealed sectors, behind one small interface, and what checks a proof.

The worker hands a sealer a task with the local paths of its files; the sealer returns Lotus's result or raises.
"""
