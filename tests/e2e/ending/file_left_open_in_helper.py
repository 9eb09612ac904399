# SPDX-License-Identifier: MIT
# A file left open by a module imported since the start.
import helper_file
