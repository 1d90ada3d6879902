"""Structured merge: which fields an object has, which differ, who owns them, and how configurations merge.

A port of the rules of sigs.k8s.io/structured-merge-diff v6 and of k8s.io/apimachinery's `managedfields`.
"""
