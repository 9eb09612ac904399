# SPDX-License-Identifier: MIT
raise ImportError("the prompt's test compares with an interpreter without readline")
