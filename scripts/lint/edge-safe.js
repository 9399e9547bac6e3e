// The rules that keep code inside what CloudFront Functions understand (runtime cloudfront-js-2.0: ECMAScript 5.1 and a
// list of later additions), held against njs 0.7.9 and 0.8.9, which stand in for it here. Types may use what they like:
// they are gone when the function is compiled.

/** What the engines do not parse, or parse and do otherwise. */
const syntax = [
  ['ClassDeclaration, ClassExpression', 'The edge runtime has no classes.'],
  ['ObjectPattern', 'The edge runtime has no destructuring.'],
  ['ArrayPattern', 'The edge runtime has no destructuring.'],
  ['SpreadElement', 'The edge runtime has no spread; use concat, apply or Object.assign.'],
  ['AssignmentPattern', 'The edge runtime has no default parameters.'],
  ['ForOfStatement', 'The edge runtime has no for…of; use forEach or a counting loop.'],
  ['ForInStatement', 'for…in costs more than Object.keys at the edge, and sees inherited names.'],
  [':function[generator=true]', 'The edge runtime has no generators.'],
  ['CatchClause[param=null]', 'The edge runtime has no optional catch binding; write catch (_).'],
  ['ArrowFunctionExpression[async=true]', 'CloudFront refuses async closures; declare an async function.'],
  ['FunctionExpression[async=true]', 'CloudFront refuses async closures; declare an async function.'],
  [
    ':matches(CallExpression, NewExpression) > AwaitExpression.arguments',
    'The edge engines refuse await among call arguments; give it a variable first.',
  ],
  [
    ':matches(CallExpression, NewExpression) > .arguments AwaitExpression',
    'The edge engines refuse await among call arguments; give it a variable first.',
  ],
  ['AssignmentExpression[operator=/^(\\|\\||&&|\\?\\?)=$/]', 'The edge runtime has no logical assignment.'],
  ['AwaitExpression:not(:function AwaitExpression)', 'The edge runtime has no top-level await.'],
  ['ForOfStatement[await=true]', 'The edge runtime has no for await.'],
  ['ImportExpression', 'The edge runtime loads nothing.'],
  ['Literal[bigint]', 'The edge runtime has no BigInt.'],
  ['Literal[regex.flags=/[suyv]/]', 'The edge engines refuse the regex flags s, u, v and y.'],
  ['Literal[regex.pattern=/\\(\\?<[=!]/]', 'No lookbehind: what the edge engines make of it is not documented.'],
  ['Literal[regex.pattern=/\\\\p\\{/]', 'No \\p{…}: it needs the flag u, which the edge engines refuse.'],
  ['TaggedTemplateExpression', 'The edge runtime lacks String.raw; no tagged templates.'],
  ["MetaProperty[meta.name='import']", 'The edge runtime has no import.meta.'],
  ['WithStatement', 'Not in strict code.'],
];

/** Methods that one engine or the other lacks. */
const methods = [
  ['replaceAll', 'njs 0.7.9 lacks replaceAll; use replace with the flag g.'],
  ['matchAll', 'The edge runtime has no matchAll; use exec.'],
  ['flat', 'The edge runtime has no flat; use concat.'],
  ['flatMap', 'The edge runtime has no flatMap.'],
  ['at', 'The edge runtime has no at; use an index.'],
  ['localeCompare', 'The edge runtime has no localeCompare.'],
  ['normalize', 'What the edge engines make of Unicode normalisation is not documented.'],
  ['findLast', 'The edge runtime has no findLast.'],
  ['findLastIndex', 'The edge runtime has no findLastIndex.'],
  ['toSorted', 'The edge runtime has no toSorted.'],
  ['toReversed', 'The edge runtime has no toReversed.'],
  ['then', 'Promise chains cost memory at the edge; await.'],
];

/** Static methods, as `[object, method]`. */
const statics = [
  ['Array', 'from'],
  ['Object', 'fromEntries'],
  ['Object', 'hasOwn'],
  ['Object', 'groupBy'],
  ['String', 'raw'],
  ['Promise', 'all'],
  ['Promise', 'any'],
  ['Promise', 'allSettled'],
];

const globals = [
  ['Map', 'The edge runtime has no Map; use an object.'],
  ['Set', 'The edge runtime has no Set; use an object or includes.'],
  ['WeakMap', 'The edge runtime has no WeakMap.'],
  ['WeakSet', 'The edge runtime has no WeakSet.'],
  ['BigInt', 'The edge runtime has no BigInt.'],
  ['Proxy', 'The edge runtime has no Proxy.'],
  ['Reflect', 'The edge runtime has no Reflect.'],
  ['Intl', 'The edge runtime has no Intl.'],
  ['eval', 'The edge runtime has no eval.'],
  ['Function', 'The edge runtime makes no functions from text.'],
  ['setTimeout', 'The edge runtime has no timers.'],
  ['setInterval', 'The edge runtime has no timers.'],
  ['setImmediate', 'The edge runtime has no timers.'],
  ['clearTimeout', 'The edge runtime has no timers.'],
  ['queueMicrotask', 'The edge runtime has no timers.'],
  ['fetch', 'The edge runtime has no network.'],
  ['process', 'The edge runtime has no process.'],
  ['structuredClone', 'The edge runtime has no structuredClone.'],
  ['URL', 'The edge runtime has no URL.'],
  ['URLSearchParams', 'The edge runtime has no URLSearchParams.'],
];

export const edgeSafe = {
  rules: {
    'no-restricted-syntax': [
      'error',
      ...syntax.map(([node, message]) => ({ selector: node, message })),
      ...methods.map(([name, message]) => ({
        selector: `CallExpression > MemberExpression.callee[computed=false][property.name='${name}']`,
        message,
      })),
      ...statics.map(([object, name]) => ({
        selector: `MemberExpression[object.name='${object}'][property.name='${name}']`,
        message: `The edge runtime has no ${object}.${name}.`,
      })),
      {
        selector: "NewExpression[callee.name='Error'], NewExpression[callee.name=/Error$/]",
        message: 'An Error costs over a millisecond in older njs; throw a reason.',
      },
    ],
    'no-restricted-globals': ['error', ...globals.map(([name, message]) => ({ name, message }))],
    'no-new-func': 'error',
    'no-eval': 'error',
    'no-implied-eval': 'error',
    // A function declared in a block is not seen after it there.
    'no-inner-declarations': ['error', 'functions', { blockScopedFunctions: 'disallow' }],
    // It asks for what the edge runtime does not have.
    'prefer-spread': 'off',
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: '^(?!\\.{1,2}/|@portcullis/tokens/core/|@portcullis/tokens/|portcullis:settings$|cloudfront$)',
            message: 'Edge-safe code imports edge-safe code only.',
          },
        ],
      },
    ],
  },
};
