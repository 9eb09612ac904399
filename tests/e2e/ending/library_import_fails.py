# SPDX-License-Identifier: MIT
import json.no_such_part
