"""What the probe environments were before, so that files of then load."""

from perdure._core import became, retired

retired("probe.TimeLimit", became("probe.Truncation"))
retired("probe.Memory", became("probe.ActOnMemory"))
