# SPDX-License-Identifier: GPL-2.0-or-later
# The resource agents and the fence helper with real parts, in namespaces: as root, by `make check-lab`.
agent_lab_tests = tests/conformance/test_address.py tests/conformance/test_address6.py tests/conformance/test_intake.py tests/conformance/test_fence_ipmi.py tests/conformance/test_mailman3.py \
	tests/conformance/test_safepoint.py tests/conformance/test_release.py tests/conformance/test_mailman2.py \
	tests/conformance/test_mailman2_release.py tests/conformance/test_mailman20.py
EXTRA_DIST += tests/conformance/agentlib.py tests/conformance/mailload.py $(agent_lab_tests)
