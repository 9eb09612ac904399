# SPDX-License-Identifier: MIT
import numpy
import pandas

frame = pandas.DataFrame({"a": numpy.arange(1000) % 7, "b": numpy.arange(1000) * 0.5})
print(frame.groupby("a").b.mean().round(3).to_dict())
