"""Which part of a site is a fleet's, and what a mistyped name is result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.errors import SiteError
from fleet.gpu.site import GpuHost
from fleet.planning.placement import check_place, own_hosts

from .sites import site_of

SPEC = FleetSpec(
    name="demo",
    folder="fleets/demo",
    size=Size(initial=1, min=0, max=2),
    server=Shape("t", 4, 16, ()),
    balancer=Shape("b"),
    balancer_count=0,
    cluster="gpu",
)
SITE = site_of([GpuHost("esx-1", cluster="gpu"), GpuHost("esx-2", cluster="infra")])


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, cluster=None, hosts=("esx-1",))])
def test_a_fleet_has_the_hosts_of_its_cluster_or_those_it_names(spec):
    assert [host.name for host in own_hosts(spec, SITE).hosts] == ["esx-1"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (replace(SPEC, cluster="gpus"), "There is no cluster 'gpus' .* there are: gpu, infra."),
        (replace(SPEC, cluster=None, hosts=("esx-9",)), "There is no host 'esx-9' .* there are: esx-1, esx-2."),
    ],
)
def test_a_place_that_is_not_there_is_named(spec, said):
    with pytest.raises(SiteError, match=said):
        check_place(spec, SITE)


def test_a_datastore_that_is_not_there_is_named_and_one_elsewhere_is_a_matter_of_room():
    site = site_of(
        [GpuHost("esx-1", cluster="gpu", datastores=frozenset({"vsan"})), GpuHost("esx-2", datastores=frozenset({"nfs"}))]
    )
    with pytest.raises(SiteError, match=r"has a datastore 'vsam', .* there are: nfs, vsan\."):
        check_place(replace(SPEC, datastore="vsam"), site)
    check_place(replace(SPEC, datastore="nfs"), site)
    check_place(replace(SPEC, datastore="vsam"), SITE)  # nobody asked the hosts
