"""Operations add partitions to a topic that is in use: presses on the new ones are heard without a restart."""

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError

from schemas import topics
from services.common import kafka
from tests.faults.test_bad_records import VALUE, event_headers
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.office import all_mailed
from tests.support.records import write
from tests.support.servers import client_settings
from tests.support.waiting import eventually


async def test_a_press_on_a_partition_that_was_added(office: Chain) -> None:
    async with kafka.admin(client_settings(office.around.kafka)) as admin:
        name = topics.prefixed(topics.EVENTS, office.around.topic_prefix)
        await admin.create_partitions({name: NewPartitions(8)})

    async def held() -> int:
        query = "select count(*) from partitions where lease_until >= now()"
        return int((await rows(office.database_url, query))[0][0])

    await eventually(held, lambda count: count == 8, within=30)

    async def written() -> bool:
        try:
            await write(office.around, VALUE, event_headers("on the eighth"), partition=7)
        except (KafkaError, AssertionError):  # the client has not heard of it yet
            return False
        return True

    await eventually(written, bool)
    await all_mailed(office, ["on the eighth"], within=45)
