"""What the machine is doing right now: GPUs through NVML, processor, memory and disk. No torch, no screen."""

from __future__ import annotations

from tuitune.monitor.sample import DeviceSample, HostSample, Instance, Process, Sample
from tuitune.monitor.sampler import Sampler

__all__ = ["DeviceSample", "HostSample", "Instance", "Process", "Sample", "Sampler"]
