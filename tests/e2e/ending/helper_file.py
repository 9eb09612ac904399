# SPDX-License-Identifier: MIT
import os
log = open(os.dup(1), "w")
log.write("from the helper\n")
def write(text):
    log.write(text)
