// KafkaJS against a running broker: create, produce, read by a group, describe.
//   BOOTSTRAP=HOST:PORT node kafkajs.mjs first|again     "again" runs after the broker was restarted on the same data.
import { createRequire } from 'node:module'
const require = createRequire(process.env.KAFKAJS_FROM ?? import.meta.url)
const { Kafka, logLevel, CompressionTypes } = require('kafkajs')

const round = process.argv[2]
if (round === 'probe') process.exit(0)
const [from, to] = { first: [1, 100], again: [101, 200] }[round]
const topic = 'smoke-kafkajs', groupId = 'smoke-kafkajs-group'
const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], clientId: 'smoke', logLevel: logLevel.WARN })
const same = (what, got, want) => {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(want)}`)
}

const admin = kafka.admin()
await admin.connect()
const created = await admin.createTopics({ topics: [{ topic, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '86400000' }] }], waitForLeaders: true })
same('created', created, round === 'first')

const producer = kafka.producer({ idempotent: true })
await producer.connect()
const messages = []
for (let i = from; i <= to; i++) messages.push({ key: `key-${i}`, value: `value-${i}`, headers: { run: 'smoke' } })
await producer.send({ topic, acks: -1, compression: CompressionTypes.GZIP, messages })
await producer.disconnect()

const seen = new Map()
const consumer = kafka.consumer({ groupId })
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`the group read ${seen.size} of 100 records`)), 60000)
  consumer.run({
    eachMessage: async ({ message }) => {
      seen.set(message.key.toString(), message.value.toString())
      if (seen.size === 100) { clearTimeout(timer); resolve() }
    },
  }).catch(reject)
})
await consumer.disconnect()
for (let i = from; i <= to; i++) same(`record ${i}`, seen.get(`key-${i}`), `value-${i}`)

const offsets = await admin.fetchOffsets({ groupId, topics: [topic] })
same('committed', offsets[0].partitions.reduce((sum, p) => sum + Number(p.offset), 0), to)
const ends = await admin.fetchTopicOffsets(topic)
same('ends', ends.reduce((sum, p) => sum + Number(p.offset), 0), to)
const described = await admin.describeGroups([groupId])
same('state', described.groups[0].state, 'Empty')
const configs = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }], includeSynonyms: false })
same('retention', configs.resources[0].configEntries[0].configValue, '86400000')
await admin.disconnect()
console.log(`pass kafkajs ${round}`)
