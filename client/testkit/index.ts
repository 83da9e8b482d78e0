/** `tandem/testkit`: for the tests of apps that use Tandem, in Node, with any test runner. Nothing of it is in the SDK. */
export type { Answer, Asked } from './answer.ts';
export { FakeClock, settle } from './fake-clock.ts';
export type { FakeCloud, Received } from './fake-cloud.ts';
export type { FakeDevice } from './fake-device.ts';
export type { FakeLink } from './fake-link.ts';
export { type LinkConditions, type ShapedLink, shapeLink, type TraceStep } from './link-shaper.ts';
export { createTestkit, type Testkit, type TestkitOptions } from './testkit.ts';
