"""The lab: real firmware, real DHCP clients and a small operating system, in a network of its own.

Needs root on Linux, QEMU and the packages of `install-tools`; everything in it runs in network namespaces that the test made
itself, so it neither sees nor disturbs the machine's own network.
"""
