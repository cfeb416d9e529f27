"""Who is told what, when, and never twice: rules and the life of an alert are pure, senders and
tables stand at the edge.
"""
