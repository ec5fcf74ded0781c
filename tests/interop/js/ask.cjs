// node ask.cjs URL TOKEN SCHEMA < calls: a JSON list of [method, ...params]; prints a JSON list of {result} or {error}.
// The packages come from NODE_PATH.
const { LotusRPC } = require('@filecoin-shipyard/lotus-client-rpc')
const { NodejsProvider } = require('@filecoin-shipyard/lotus-client-provider-nodejs')
const { mainnet } = require('@filecoin-shipyard/lotus-client-schema')

async function main (url, token, schema) {
  const client = new LotusRPC(new NodejsProvider(url, { token }), { schema: mainnet[schema] })
  const calls = JSON.parse(require('fs').readFileSync(0, 'utf8'))
  const answers = []
  for (const [method, ...params] of calls) {
    try {
      answers.push({ result: await client[method](...params) })
    } catch (error) {
      answers.push({ error: error.message })
    }
  }
  // and side by side, as a dashboard does
  const again = await Promise.allSettled(calls.map(([method, ...params]) => client[method](...params)))
  console.log(JSON.stringify({ answers, settled: again.map(one => one.status) }))
  await client.destroy()
}

main(...process.argv.slice(2)).catch(error => {
  console.error(error)
  process.exit(1)
})
