# SPDX-License-Identifier: MIT
# The image `programs`: what tests/e2e/programs.bats runs, Debian's packages with all they depend on.

PROGRAMS_IMAGE := $(BUILD)/images/programs.erofs
PROGRAMS := python3 git gcc libc6-dev sqlite3 stress-ng busybox coreutils dash grep sed tar

$(PROGRAMS_IMAGE): tests/programs.mk monitor/image_packages.sh | $(BUILD)/thaw
	@mkdir -p $(@D)
	THAW_PACKAGE_CACHE=$(abspath $(BUILD)/packages) $(BUILD)/thaw image build \
		--packages $(subst $(space),$(comma),$(PROGRAMS)) $(abspath $@)

test-images: $(PROGRAMS_IMAGE)
.PHONY: test-images
