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

# numpy's own tests: minutes. The same packages on the host, for the native run.
NUMPY_IMAGE := $(BUILD)/conformance/numpy.erofs
NUMPY_PACKAGES := python3-numpy python3-pytest python3-hypothesis python3-typing-extensions python3-distutils \
	python3-setuptools python3-dev

$(NUMPY_IMAGE): tests/programs.mk monitor/image_packages.sh | $(BUILD)/thaw
	@mkdir -p $(@D)
	THAW_PACKAGE_CACHE=$(abspath $(BUILD)/packages) $(BUILD)/thaw image build \
		--packages $(subst $(space),$(comma),$(NUMPY_PACKAGES) gcc dash coreutils) $(abspath $@)

conformance-numpy: deps
	@scripts/install-deps.sh $(NUMPY_PACKAGES)
	@$(MAKE) --no-print-directory all $(NUMPY_IMAGE)
	@/usr/bin/python3 tests/conformance/numpy_tests.py $(BUILD)/thaw $(NUMPY_IMAGE)
.PHONY: conformance-numpy

# The rows of the bench that need numpy and pandas.
BENCH_NUMPY_IMAGE := $(BUILD)/bench/numpy.erofs
BENCH_NUMPY_PACKAGES := python3-numpy python3-pandas

$(BENCH_NUMPY_IMAGE): tests/programs.mk monitor/image_packages.sh | $(BUILD)/thaw
	@mkdir -p $(@D)
	THAW_PACKAGE_CACHE=$(abspath $(BUILD)/packages) $(BUILD)/thaw image build \
		--packages $(subst $(space),$(comma),$(BENCH_NUMPY_PACKAGES)) $(abspath $@)

bench-numpy: deps
	@scripts/install-deps.sh $(BENCH_NUMPY_PACKAGES)
	@$(MAKE) --no-print-directory all $(BENCH_NUMPY_IMAGE)
	@BENCH='--only numpy $(BENCH)' $(RUN_ENV) sh bench/run.sh
.PHONY: bench-numpy
