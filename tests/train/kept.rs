//! What is kept.

use lenslet::Precision;
use lenslet::data::folder;
use lenslet::infer::Evaluator;
use lenslet::nn::Layout;
use lenslet::optim::Group;
use lenslet::runs::{Config, RunFolder};
use lenslet::train::Schedule;
use lenslet::train::callbacks::EarlyStopping;

use crate::fixture::{bits, dataset, devices, fit, network, sgd, trainer};

#[test]
fn a_run_that_was_saved_evaluates_as_before() {
    let data = dataset(40);
    let model = network();
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd());
        fit(&mut trainer, &data, 2);
        let config = Config {
            precision: Precision::F16,
            model: "network".into(),
            data: "images".into(),
            images: Some(folder::Options { skip_bad: true, ..folder::Options::default() }),
            classes: vec!["a".into(), "b".into()],
            epochs: 2,
            batch_size: 16,
            schedule: Schedule::Constant,
            optimizer: sgd(),
            class_weights: Some(vec![1.0, 0.5, 0.0, 2.0, 0.1].into()),
            accumulate: 4,
            groups: vec![Group::new("*.bias").weight_decay(0.0), Group::new("conv1.*").frozen()],
            early_stopping: Some(EarlyStopping::after(3)),
            checkpoint_steps: Some(7),
            keep: 3,
            augment: "rotate:10,shift:0.1,fill:0.5".parse().unwrap(),
            device: device.describe(),
            ..Config::default()
        };
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, &config, None).unwrap();
        folder.save_weights(trainer.layout(), &trainer.parameters(), &config).unwrap();

        assert_eq!(RunFolder::read_config(&path).unwrap(), config);
        let layout = Layout::of(&model).unwrap();
        let parameters = RunFolder::read_weights(&path, &layout).unwrap();
        assert!(bits(&parameters) == bits(&trainer.parameters()));
        let mut evaluator = Evaluator::new(&device, &model, &layout, &data, 16).unwrap();
        assert_eq!(evaluator.run(&parameters).unwrap(), trainer.evaluate(&data).unwrap());
        assert!(RunFolder::create(&path, &config, None).err().unwrap().to_string().contains("new or empty folder"));
    }
}
