"""Which process reads what, as the database says."""

from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.service import Service
from tests.support.waiting import eventually


async def owners(office: Chain) -> dict[int, int]:
    """Ids of processes (a launcher replaces itself with the service) that hold leases, with how many partitions."""
    query = "select split_part(owner, '-', -2) as pid, count(*) from partitions where lease_until >= now() group by 1"
    return {int(row["pid"]): row["count"] for row in await rows(office.database_url, query)}


async def shared(office: Chain, *services: Service) -> None:
    """Wait until these processes hold all six partitions, each the same number."""
    share = {service.pid: 6 // len(services) for service in services}
    await eventually(lambda: owners(office), lambda found: found == share, within=15)
