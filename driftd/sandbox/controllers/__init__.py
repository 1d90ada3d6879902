"""Enough of kube-controller-manager, scheduler and kubelet for workloads to roll out and become healthy or fail.

A container never becomes ready when its image names `broken` or `does-not-exist` (ImagePullBackOff), when its
command ends in `exit 1`, or when its pod has the annotation `sandbox.driftd.io/fail` (CrashLoopBackOff).
CronJobs do not fire, claims are not bound, and there is no network.
"""

from driftd.sandbox.controllers.loop import Controllers
from driftd.sandbox.controllers.settings import RolloutSettings

__all__ = ["Controllers", "RolloutSettings"]
