"""Structured merge: field sets, comparison, merging and field ownership.

A port of sigs.k8s.io/structured-merge-diff v6 and of k8s.io/apimachinery's `managedfields`.
"""
